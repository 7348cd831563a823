package segment

import "golang.org/x/sys/unix"

// adviceRelease frees pages at once.
const adviceRelease = unix.MADV_DONTNEED

// mapMemory reserves address space. Huge pages stay off, so that what counts as
// resident is what was written, to a page.
func mapMemory(size int) ([]byte, error) {
	mem, err := unix.Mmap(-1, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON|unix.MAP_NORESERVE)
	if err == nil {
		_ = unix.Madvise(mem, unix.MADV_NOHUGEPAGE) // kernels without huge pages refuse it
	}
	return mem, err
}
