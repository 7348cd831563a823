package snapshot

// What is printed of a document never holds a secret: a %v of it in a log or an
// error names it, and says no more. Sources can hold passwords.

// String is "snapshot 1.42 of group default".
func (d Document) String() string { return "snapshot " + d.Name().String() + " of group " + d.Group }

// GoString is String.
func (d Document) GoString() string { return d.String() }

// String is "key r1/k1".
func (k Key) String() string { return "key " + k.Reseller + "/" + k.KeyID }

// GoString is String.
func (k Key) GoString() string { return k.String() }

// String is `stream "news"`.
func (s Stream) String() string { return "stream \"" + s.ID + "\"" }

// GoString is String.
func (s Stream) GoString() string { return s.String() }
