package main

import "runtime/debug"

// version is the release that the program was built from, as Go recorded it, and the
// commit where it is known.
func version() string {
	release := "(devel)"
	if build, ok := debug.ReadBuildInfo(); ok && build.Main.Version != "" {
		release = build.Main.Version
	}
	if commit == "" {
		return release
	}
	return release + " (" + commit + ")"
}
