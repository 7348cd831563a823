package snapshot

import (
	"cmp"
	"errors"
	"strconv"
	"strings"
)

// Version names a document of a group. Versions count within an epoch, and a higher
// epoch is above every version of a lower one. The zero Version is none at all: below
// every document of a control plane, and what an edge has that never had one.
type Version struct {
	Epoch  int64 `json:"epoch"`
	Number int64 `json:"version"`
}

// Name is the document's version.
func (d Document) Name() Version { return Version{d.Epoch, d.Version} }

// Compare is negative if v is older than o, positive if it is younger, else 0.
func (v Version) Compare(o Version) int {
	return cmp.Or(cmp.Compare(v.Epoch, o.Epoch), cmp.Compare(v.Number, o.Number))
}

// String is "<epoch>.<number>", as in the query of a poll.
func (v Version) String() string {
	return strconv.FormatInt(v.Epoch, 10) + "." + strconv.FormatInt(v.Number, 10)
}

var errVersion = errors.New("a version is written <epoch>.<number>, as in 1.42")

// ParseVersion reads what String writes, and nothing else.
func ParseVersion(text string) (Version, error) {
	epoch, number, found := strings.Cut(text, ".")
	if !found {
		return Version{}, errVersion
	}
	e, err := parseCount(epoch)
	if err != nil {
		return Version{}, err
	}
	n, err := parseCount(number)
	if err != nil {
		return Version{}, err
	}
	return Version{e, n}, nil
}

// parseCount reads a decimal number of one spelling: no sign, no leading zero.
func parseCount(text string) (int64, error) {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 0 || strconv.FormatInt(n, 10) != text {
		return 0, errVersion
	}
	return n, nil
}
