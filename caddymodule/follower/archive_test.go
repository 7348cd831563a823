package follower

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/headrace/headrace/controlapi/snapshot"
)

func save(t testing.TB, a *Archive, numbers ...int64) {
	t.Helper()
	for _, n := range numbers {
		if err := a.Save(version(n), encode(t, testDocument(n))); err != nil {
			t.Fatal(err)
		}
	}
}

func TestArchive(t *testing.T) {
	a := archive(t)
	if v, _ := a.Current(); v != (snapshot.Version{}) || len(a.Versions()) != 0 {
		t.Errorf("an empty one has %v and %v", v, a.Versions())
	}
	if err := os.WriteFile(filepath.Join(a.folder, temporary+"left"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	save(t, a, 2, 9, 10, 11)
	if got := fmt.Sprint(a.Versions()); got != "[1.11 1.10 1.9]" {
		t.Errorf("got versions %s", got)
	}
	if v, at := a.Current(); v != version(11) || time.Since(at) > time.Minute {
		t.Errorf("got current %v of %v", v, at)
	}
	entries, err := os.ReadDir(a.folder)
	if err != nil || len(entries) != kept+1 {
		t.Errorf("got %d files, want %d (%v)", len(entries), kept+1, err)
	}
	for _, e := range entries {
		if info, err := e.Info(); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: got mode %v, want 0600", e.Name(), info.Mode())
		}
	}
	past := time.Now().Add(-time.Hour)
	if err := os.Chtimes(filepath.Join(a.folder, currentName), past, past); err != nil {
		t.Fatal(err)
	}
	a.Confirm()
	if _, at := a.Current(); time.Since(at) > time.Minute {
		t.Errorf("confirmed at %v", at)
	}
}

// damage writes nonsense over a file.
func damage(t *testing.T, a *Archive, name string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(a.folder, name), []byte("nonsense"), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestBoot(t *testing.T) {
	for _, tt := range []struct {
		name    string
		prepare func(*testing.T, *Archive)
		applied string
		floor   int64
	}{
		{"nothing kept", func(*testing.T, *Archive) {}, "[]", 0},
		{"the newest", func(t *testing.T, a *Archive) { save(t, a, 3, 4, 5) }, "[1.5]", 5},
		{"the newest is damaged", func(t *testing.T, a *Archive) { save(t, a, 3, 4, 5); damage(t, a, fileName(version(5))) }, "[1.4]", 5},
		{"the newest is another's", func(t *testing.T, a *Archive) {
			save(t, a, 3, 4)
			other := testDocument(5, func(d *snapshot.Document) { d.Group = "west" })
			if err := a.Save(version(5), encode(t, other)); err != nil {
				t.Fatal(err)
			}
		}, "[1.4]", 5},
		{"a file under another name", func(t *testing.T, a *Archive) {
			save(t, a, 3)
			if err := os.Rename(filepath.Join(a.folder, fileName(version(3))), filepath.Join(a.folder, fileName(version(9)))); err != nil {
				t.Fatal(err)
			}
		}, "[]", 3},
		{"the name of the current one is lost", func(t *testing.T, a *Archive) { save(t, a, 3, 4); damage(t, a, currentName) }, "[1.4]", 4},
		{"a document that was not named yet", func(t *testing.T, a *Archive) {
			save(t, a, 3, 4)
			if err := a.write(currentName, current(version(3))); err != nil {
				t.Fatal(err)
			}
		}, "[1.4]", 4},
		{"all are damaged", func(t *testing.T, a *Archive) {
			save(t, a, 3, 4)
			damage(t, a, fileName(version(3)))
			damage(t, a, fileName(version(4)))
		}, "[]", 4},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a, e := archive(t), new(edge)
			tt.prepare(t, a)
			f := newFollower(t, Control{URL: "https://127.0.0.1:1"}, a, e)
			err := f.Boot(e.apply)
			if got := fmt.Sprint(e.versions()); got != tt.applied || (err == nil) == (got == "[]") || err != nil && !errors.Is(err, ErrNoDocument) {
				t.Errorf("applied %s, want %s (%v)", got, tt.applied, err)
			}
			if f.floor.Number != tt.floor {
				t.Errorf("got floor %v, want %d", f.floor, tt.floor)
			}
		})
	}
}

// Scenario 22: a clock that is ten minutes off, now or when the document was kept, keeps
// nobody from the last good one.
func TestBootWithAWrongClock(t *testing.T) {
	for _, off := range []time.Duration{-10 * time.Minute, 10 * time.Minute} {
		a, e := archive(t), new(edge)
		then := time.Now().Add(off)
		d := testDocument(5, func(d *snapshot.Document) { d.IssuedAt = then.Unix() })
		if err := a.Save(version(5), encode(t, d)); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(filepath.Join(a.folder, currentName), then, then); err != nil {
			t.Fatal(err)
		}
		f := newFollower(t, Control{URL: "https://127.0.0.1:1"}, a, e)
		if err := f.Boot(e.apply); err != nil {
			t.Errorf("%v off: %v", off, err)
		}
		if got := f.Status().Confirmed; !got.Equal(then.Truncate(0)) {
			t.Errorf("%v off: got confirmed at %v, want %v", off, got, then)
		}
	}
}

// A document that was lost still bars older ones.
func TestFloorOutlivesTheDocument(t *testing.T) {
	c := newControl(t, nil)
	c.say(c.once(encode(t, testDocument(7))))
	a, e := archive(t), new(edge)
	save(t, a, 9)
	damage(t, a, fileName(version(9)))
	f := newFollower(t, c.at(), a, e)
	if err := f.Boot(e.apply); !errors.Is(err, ErrNoDocument) {
		t.Fatal(err)
	}
	run(t, f)
	until(t, "the older one is rejected", func() bool { return f.Status().Rejected != nil })
	if got := e.versions(); len(got) != 0 {
		t.Errorf("applied %v", got)
	}
}

// Scenario 20, on the disk: whatever is damaged, only the very octets that were kept are
// ever taken for a document.
func TestArchiveRefusesDamage(t *testing.T) {
	a := archive(t)
	save(t, a, 5)
	want := encode(t, testDocument(5))
	path := filepath.Join(a.folder, fileName(version(5)))
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	check := func(b []byte) {
		t.Helper()
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		// A bit of the frame that means nothing may change: then nothing has.
		if d, err := a.Read(version(5)); err == nil && !bytes.Equal(encode(t, d), want) {
			t.Fatalf("takes %x for a document", b)
		}
	}
	for range 1000 {
		b := bytes.Clone(whole)
		b[random.IntN(len(b))] ^= 1 << random.IntN(8)
		check(b)
	}
	for range 64 {
		check(whole[:random.IntN(len(whole))])
	}
}

// writer makes the test's binary a program that does nothing but write snapshots into
// the folder that it is started in, and tells which it has written.
const writer = "HEADRACE_TEST_WRITER"

func writeForEver(folder string) {
	a, err := OpenArchive(folder)
	if err != nil {
		panic(err)
	}
	first := int64(1)
	if versions := a.Versions(); len(versions) > 0 {
		first = versions[0].Number + 1
	}
	for n := first; ; n++ {
		b, err := snapshot.Encode(testDocument(n))
		if err == nil {
			err = a.Save(version(n), b)
		}
		if err != nil {
			panic(err)
		}
		fmt.Println(n)
	}
}

// Scenario 21: whenever the edge is killed, it starts from what it said it had kept, or
// from what it was just keeping.
func TestKilledWhileWriting(t *testing.T) {
	t.Parallel()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	a := archive(t)
	var last int64
	for trial := range 100 {
		cmd := exec.Command(self, "-test.run=^$")
		cmd.Env = append(os.Environ(), writer+"=1")
		cmd.Dir = a.folder
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		for range 1 + rand.IntN(4) {
			lines.Scan()
			_, _ = fmt.Sscan(lines.Text(), &last)
		}
		killed := time.AfterFunc(rand.N(4*time.Millisecond), func() { _ = cmd.Process.Kill() })
		for lines.Scan() {
			_, _ = fmt.Sscan(lines.Text(), &last)
		}
		killed.Stop()
		_ = cmd.Wait()

		e := new(edge)
		f := newFollower(t, Control{URL: "https://127.0.0.1:1"}, a, e)
		if err := f.Boot(e.apply); err != nil {
			t.Fatalf("trial %d: %v", trial, err)
		}
		got := e.versions()[0].Number
		if got < last || got > last+1 {
			t.Fatalf("trial %d: started with version %d, %d was kept", trial, got, last)
		}
		if f.floor != version(got) {
			t.Fatalf("trial %d: floor %v, want 1.%d", trial, f.floor, got)
		}
	}
	if last < 200 {
		t.Errorf("only %d snapshots were written in 100 lives", last)
	}
}

// fullDisk returns a folder on a disk that fill makes full and empty makes free again.
func fullDisk(t *testing.T) (folder string, fill, free func()) {
	t.Helper()
	folder = t.TempDir()
	if err := unix.Mount("tmpfs", folder, "tmpfs", 0, "size=16m"); err != nil {
		// Without the right to mount: no file may have a single octet.
		var before unix.Rlimit
		if err := unix.Getrlimit(unix.RLIMIT_FSIZE, &before); err != nil {
			t.Fatal(err)
		}
		set := func(l unix.Rlimit) {
			if err := unix.Setrlimit(unix.RLIMIT_FSIZE, &l); err != nil {
				t.Fatal(err)
			}
		}
		t.Cleanup(func() { set(before) })
		return folder, func() { set(unix.Rlimit{Cur: 0, Max: before.Max}) }, func() { set(before) }
	}
	t.Cleanup(func() {
		if err := unix.Unmount(folder, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	ballast := filepath.Join(folder, "ballast")
	return folder, func() {
			f, err := os.Create(ballast)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			for block := 1 << 20; block > 0; block /= 2 {
				for err == nil {
					_, err = f.Write(make([]byte, block))
				}
				err = nil
			}
		}, func() {
			if err := os.Remove(ballast); err != nil {
				t.Fatal(err)
			}
		}
}

// Scenario 21: with a full disk the edge takes the change, says that it could not keep
// it, and does so soon after there is room.
func TestFullDisk(t *testing.T) {
	folder, fill, free := fullDisk(t)
	a, err := OpenArchive(filepath.Join(folder, "snapshots"))
	if err != nil {
		t.Fatal(err)
	}
	save(t, a, 5)
	c := newControl(t, nil)
	octets := encode(t, testDocument(7))
	c.say(conditional(c, octets))
	e := new(edge)
	f := newFollower(t, c.at(), a, e)
	if err := f.Boot(e.apply); err != nil {
		t.Fatal(err)
	}
	fill()
	run(t, f)
	until(t, "the change is in force, and not kept", func() bool { return f.Status().Version == version(7) && f.Status().Unsaved })
	if d, err := a.Read(version(5)); err != nil {
		t.Errorf("the document before: %v, %v", d, err)
	}
	if v, _ := a.Current(); v != version(5) {
		t.Errorf("got current %v, want the one that is kept", v)
	}
	free()
	freed := time.Now()
	until(t, "it is kept", func() bool { return !f.Status().Unsaved })
	if took := time.Since(freed); took > 5*time.Second {
		t.Errorf("it took %s, want at most 5 s", took)
	}
	if d, err := a.Read(version(7)); err != nil {
		t.Errorf("got %v, %v", d, err)
	}
	if v, _ := a.Current(); v != version(7) {
		t.Errorf("got current %v", v)
	}
}
