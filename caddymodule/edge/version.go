package edge

import "runtime/debug"

// modulePath is the Go module that this package belongs to.
const modulePath = "github.com/headrace/headrace"

// Version is the release of Headrace that the program was built from, as Go
// recorded it: "v0.1.0", or "(devel)" outside version control. It is the main
// module's, or that of a dependency where xcaddy has built the program.
func Version() string {
	build, ok := debug.ReadBuildInfo()
	if !ok {
		return "(devel)"
	}
	for _, m := range append(build.Deps, &build.Main) {
		if m.Path == modulePath && m.Version != "" {
			return m.Version
		}
	}
	return "(devel)"
}
