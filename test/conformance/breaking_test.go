package conformance

import (
	"os"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/oasdiff/oasdiff/checker"
	"github.com/oasdiff/oasdiff/diff"
	"github.com/oasdiff/oasdiff/load"
)

// released is the document of the last release, which a release puts there: clients that
// were written for it must go on working. Before the first release there is none, and
// nothing to break.
const released = "../../controlapi/openapi.release.json"

// TestNothingBreaks compares the API with that of the last release.
func TestNothingBreaks(t *testing.T) {
	before := released
	if _, err := os.Stat(before); os.IsNotExist(err) {
		before = document // the check below still shows that the comparison works
	}
	for _, change := range breaking(t, before, document) {
		t.Errorf("%s %s: %s", change.GetOperation(), change.GetPath(), change.GetUncolorizedText(checker.NewDefaultLocalizer()))
	}
}

// TestBreakIsSeen takes an operation away, and wants that to be noticed.
func TestBreakIsSeen(t *testing.T) {
	cut := read(t, document)
	cut.Spec.Paths.Delete("/v1/users")
	if len(compare(t, read(t, document), cut)) == 0 {
		t.Error("an operation that went away was not noticed")
	}
	if changes := compare(t, cut, read(t, document)); len(changes) > 0 {
		t.Errorf("an operation that is new counts as a break: %v", changes)
	}
}

func read(t *testing.T, file string) *load.SpecInfo {
	t.Helper()
	spec, err := load.NewSpecInfo(openapi3.NewLoader(), load.NewSource(file))
	if err != nil {
		t.Fatalf("reading %s: %v", file, err)
	}
	return spec
}

func breaking(t *testing.T, before, after string) checker.Changes {
	t.Helper()
	return compare(t, read(t, before), read(t, after))
}

func compare(t *testing.T, before, after *load.SpecInfo) checker.Changes {
	t.Helper()
	report, sources, err := diff.GetWithOperationsSourcesMap(diff.NewConfig(), before, after)
	if err != nil {
		t.Fatalf("comparing: %v", err)
	}
	return checker.CheckBackwardCompatibilityUntilLevel(checker.NewConfig(checker.GetAllChecks()), report, sources, checker.WARN)
}
