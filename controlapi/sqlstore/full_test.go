package sqlstore

import (
	"fmt"
	"testing"

	"github.com/headrace/headrace/controlapi"
)

// TestDiskFull: on a full disk a write fails whole and says that it can be tried again;
// reads go on, and writes too once there is space.
func TestDiskFull(t *testing.T) {
	t.Parallel()
	s := openTest(t, newDatabase(t, dialectSQLite), Options{})
	ctx, op := t.Context(), s.LocalOperator()
	var pages int
	if err := s.writer.Get(&pages, `PRAGMA page_count`); err != nil {
		t.Fatal(err)
	}
	// SQLite gives the same answer here as for a file system without space.
	if _, err := s.writer.Exec(fmt.Sprintf(`PRAGMA max_page_count = %d`, pages+2)); err != nil {
		t.Fatal(err)
	}
	made := 0
	var err error
	for range 1000 {
		if _, err = s.CreateReseller(ctx, op, controlapi.ResellerCreate{Name: "reseller"}); err != nil {
			break
		}
		made++
	}
	wantCode(t, err, controlapi.CodeUnavailable)
	if l := must(s.Resellers(ctx, op, controlapi.OperatorID, controlapi.Page{Limit: controlapi.MaxPageLimit}))(t); len(l.Items) != made {
		t.Errorf("got %d resellers, want the %d that were made", len(l.Items), made)
	}
	wantCode(t, s.VerifyAudit(ctx, op), "")
	if _, err := s.writer.Exec(`PRAGMA max_page_count = 1000000`); err != nil {
		t.Fatal(err)
	}
	newReseller(t, s, "")
}
