package token

// Operation is what a request wants to do with a stream, and what a token
// allows: exactly one of them.
type Operation uint8

// The operations. Play is what a token without the claim allows.
const (
	Play    Operation = iota
	Publish           // an encoder pushes the stream
	Relay             // another edge pulls it
	CatchUp           // a viewer asks for a past time
)

var operationNames = []string{Play: "play", Publish: "publish", Relay: "relay", CatchUp: "catchup"}

// operationTags are the grammar's letters, by operation. Play has none: each
// meaning has one spelling.
const operationTags = " wrc"

// String returns the operation's name: play, publish, relay or catchup.
func (o Operation) String() string {
	if int(o) < len(operationNames) {
		return operationNames[o]
	}
	return "unknown"
}

// ParseOperation is the reverse of [Operation.String]; false means that there
// is no operation of that name.
func ParseOperation(name string) (Operation, bool) {
	for o := Play; o <= CatchUp; o++ {
		if operationNames[o] == name {
			return o, true
		}
	}
	return Play, false
}

// operationSet has bit o set for each operation o that it holds.
type operationSet uint8

func (s operationSet) with(o Operation) operationSet { return s | 1<<o }

func (s operationSet) has(o Operation) bool { return s&(1<<o) != 0 }
