package cgroup

import (
	"fmt"
	"os"
	"path"
)

// Entrance puts a child into a group from its first instruction on. In version 2 the kernel is told by the folder's
// descriptor (SysProcAttr.CgroupFD); in version 1 the thread that starts the child enters the group, and leaves it
// afterwards. All files are opened beforehand: a thread that is confined could not open them.
type Entrance struct {
	folder       *os.File
	inside, back []*os.File
}

// Entrance opens the group's files.
func (g *Group) Entrance() (_ *Entrance, err error) {
	e := new(Entrance)
	defer func() {
		if err != nil {
			e.Close()
			err = fmt.Errorf("opening a control group: %w", err)
		}
	}()
	if g.v2 != "" {
		if e.folder, err = os.Open(g.v2); err != nil {
			return nil, err
		}
	}
	for _, folder := range folders("", g.v1) {
		f, err := openTasks(folder)
		if err != nil {
			return nil, err
		}
		e.inside = append(e.inside, f)
	}
	for _, folder := range g.outside {
		f, err := openTasks(folder)
		if err != nil {
			return nil, err
		}
		e.back = append(e.back, f)
	}
	return e, nil
}

func openTasks(folder string) (*os.File, error) {
	return os.OpenFile(path.Join(folder, "tasks"), os.O_WRONLY, 0)
}

// CgroupFD is the descriptor of the group's folder in version 2, if it has one.
func (e *Entrance) CgroupFD() (fd int, ok bool) {
	if e.folder == nil {
		return 0, false
	}
	return int(e.folder.Fd()), true
}

// Enter moves the calling thread into the group, as far as it is one of version 1.
func (e *Entrance) Enter() error {
	if err := move(e.inside); err != nil {
		return fmt.Errorf("entering a control group: %w", err)
	}
	return nil
}

// Leave moves the calling thread back to where its process is.
func (e *Entrance) Leave() error {
	if err := move(e.back); err != nil {
		return fmt.Errorf("leaving a control group: %w", err)
	}
	return nil
}

// move writes 0, which stands for the thread that writes, to files called tasks.
func move(tasks []*os.File) error {
	for _, f := range tasks {
		if _, err := f.WriteString("0"); err != nil {
			return err
		}
	}
	return nil
}

// Close closes the files.
func (e *Entrance) Close() {
	for _, f := range append(append(e.inside, e.back...), e.folder) {
		if f != nil {
			_ = f.Close()
		}
	}
}
