package process

import "os"

// wiring holds both sides of a child's descriptors. They are opened before the child's thread is confined, because a
// confined thread may not open them any more.
type wiring struct {
	child  []*os.File // in the order of the child's fd 0, 1, 2, 3, …; stdout and stderr are one pipe
	output *os.File   // read end of stdout and stderr
	pipes  []*os.File // read ends of fd 3, 4, …
}

// wire opens the output and n pipes, and /dev/null where there is no stdin. The write ends turn blocking when they are handed to the child; the
// read ends stay with the runtime's poller, so their deadlines work.
func wire(stdin *os.File, n int) (_ *wiring, err error) {
	w := new(wiring)
	if stdin == nil {
		if stdin, err = os.Open(os.DevNull); err != nil {
			return nil, err
		}
	}
	w.child = append(w.child, stdin)
	defer func() {
		if err != nil {
			w.closeChild()
			w.closeParent()
		}
	}()
	r, out, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	w.output, w.child = r, append(w.child, out, out)
	for range n {
		r, pipe, err := os.Pipe()
		if err != nil {
			return nil, err
		}
		w.pipes, w.child = append(w.pipes, r), append(w.child, pipe)
	}
	return w, nil
}

// closeChild closes the child's side: as long as we hold a write end, no reader sees the end of the stream.
func (w *wiring) closeChild() { closeAll(w.child) }

// closeParent closes our side, when there is no child to read from.
func (w *wiring) closeParent() {
	if w.output != nil {
		closeAll([]*os.File{w.output})
	}
	closeAll(w.pipes)
}

// closeAll closes files; closing one twice (stdout is stderr) is harmless.
func closeAll(files []*os.File) {
	for _, f := range files {
		_ = f.Close()
	}
}
