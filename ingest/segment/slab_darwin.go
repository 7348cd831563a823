package segment

import "golang.org/x/sys/unix"

// adviceRelease lets the system take pages when it needs them; until then they
// still show as resident.
const adviceRelease = unix.MADV_FREE

// mapMemory reserves address space.
func mapMemory(size int) ([]byte, error) {
	return unix.Mmap(-1, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON|unix.MAP_NORESERVE)
}
