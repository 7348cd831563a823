package keyring

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

const (
	keyBytes = 32 // AES-256
	idBytes  = 4
	maxFile  = 64 << 10
)

// key is one line of the file.
type key struct {
	id    string
	bytes [keyBytes]byte
}

func newKey() key {
	var k key
	var id [idBytes]byte
	_, _ = rand.Read(k.bytes[:]) // never fails, by its contract
	_, _ = rand.Read(id[:])
	k.id = hex.EncodeToString(id[:])
	return k
}

// header explains the file to whoever finds it.
const header = `# Keys of Headrace's control plane. Secrets in its database cannot be read without
# them: keep a copy apart from the database's, and give this file to nobody.
# The first key seals; the others are needed as long as secrets are sealed with them.
`

// Open reads the key file, or makes one with a new key where there is none. Only its
// owner may be able to read it. Of two programs that make it at the same time, both
// read the same file afterwards.
func Open(path string) (*Keyring, error) {
	keys, err := readFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		if err = createFile(path, []key{newKey()}); err == nil || errors.Is(err, fs.ErrExist) {
			keys, err = readFile(path)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("opening the key file: %w", err)
	}
	return newKeyring(keys)
}

// Rotate puts a new key in front of the file's others and returns the keyring that
// seals with it. Secrets that are sealed with the others are still read; see
// IsCurrent.
func Rotate(path string) (*Keyring, error) {
	keys, err := readFile(path)
	if err != nil {
		return nil, fmt.Errorf("rotating the key file: %w", err)
	}
	keys = append([]key{newKey()}, keys...)
	if err := replaceFile(path, keys); err != nil {
		return nil, fmt.Errorf("rotating the key file: %w", err)
	}
	return newKeyring(keys)
}

// Retire takes all keys but the first from the file: no secret may be sealed with them
// any more.
func Retire(path string) (*Keyring, error) {
	keys, err := readFile(path)
	if err != nil {
		return nil, fmt.Errorf("retiring old keys: %w", err)
	}
	if err := replaceFile(path, keys[:1]); err != nil {
		return nil, fmt.Errorf("retiring old keys: %w", err)
	}
	return newKeyring(keys[:1])
}

func readFile(path string) ([]key, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if others := info.Mode().Perm() & 0o077; others != 0 {
		return nil, fmt.Errorf("%s may be read by others (mode %04o); take that away: chmod 600 %s", path, info.Mode().Perm(), path)
	}
	text, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, err
	}
	keys, err := parseFile(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return keys, nil
}

// parseFile reads lines of an id and a key in base64. Errors name lines, not contents.
func parseFile(text []byte) ([]key, error) {
	if len(text) > maxFile {
		return nil, fmt.Errorf("it has more than %d bytes; it is no key file", maxFile)
	}
	var keys []key
	seen := make(map[string]bool)
	lines := bufio.NewScanner(bytes.NewReader(text))
	lines.Buffer(nil, maxFile+1)
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		k, err := parseLine(line)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
		if seen[k.id] {
			return nil, fmt.Errorf("line %d: its key has the id of another one", n)
		}
		seen[k.id] = true
		keys = append(keys, k)
	}
	if len(keys) == 0 {
		return nil, errors.New("it holds no key; bring back the copy of it, or, where the database is new as well, remove it and a new one is made")
	}
	return keys, lines.Err()
}

func parseLine(line string) (key, error) {
	var k key
	id, text, _ := strings.Cut(line, " ")
	raw, err := base64.StdEncoding.Strict().DecodeString(strings.TrimSpace(text))
	if digits, idErr := hex.DecodeString(id); idErr != nil || len(digits) != idBytes || err != nil || len(raw) != keyBytes {
		return k, errors.New("it is not an id and a key; bring back the copy of the file")
	}
	k.id = id
	copy(k.bytes[:], raw)
	return k, nil
}

func format(keys []key) []byte {
	text := []byte(header)
	for _, k := range keys {
		text = fmt.Appendf(text, "%s %s\n", k.id, base64.StdEncoding.EncodeToString(k.bytes[:]))
	}
	return text
}

// createFile makes the file, or fails with fs.ErrExist; it never replaces one.
func createFile(path string, keys []key) error {
	return write(path, keys, os.Link)
}

// replaceFile puts new contents in the file's place, whole or not at all.
func replaceFile(path string, keys []key) error {
	return write(path, keys, os.Rename)
}

// write makes a temporary file with the keys and puts it in its place; it is on the
// disk when write returns.
func write(path string, keys []key, place func(from, to string) error) (err error) {
	folder := filepath.Dir(path)
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(folder, ".keys-*") // with mode 0600
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(f.Name()) }() // gone after a rename
	_, err = f.Write(format(keys))
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := place(f.Name(), path); err != nil {
		return err
	}
	return syncFolder(folder)
}

// syncFolder makes a new name in it last through a power cut.
func syncFolder(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
