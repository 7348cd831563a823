package cgroup

import (
	"os"
	"syscall"
)

// files are the kernel's control files. Tests have a kernel of their own.
type files interface {
	read(path string) ([]byte, error)
	write(path, text string) error
	mkdir(path string) error
	rmdir(path string) error
	folders(path string) ([]string, error)
	kill(pid int)
}

// kernel is the real one.
type kernel struct{}

func (kernel) read(path string) ([]byte, error) { return os.ReadFile(path) }

// write makes no file: what the kernel does not offer is an error.
func (kernel) write(path, text string) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	return err
}

func (kernel) mkdir(path string) error { return os.Mkdir(path, 0o755) } //nolint:gosec // as all groups: they hold no secret

func (kernel) rmdir(path string) error { return os.Remove(path) }

func (kernel) folders(path string) ([]string, error) {
	entries, err := os.ReadDir(path)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		if e.IsDir() {
			names = append(names, e.Name())
		}
	}
	return names, nil
}

// kill is best effort: who is gone need not be killed, and who stays is seen.
func (kernel) kill(pid int) { _ = syscall.Kill(pid, syscall.SIGKILL) }
