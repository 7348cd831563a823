package law

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"
)

// scopeMaker is where scopes may be made: by who has checked a credential.
const scopeMaker = "controlapi/sqlstore/"

// TestScopesAreMadeByAuthentication holds tenancy together: who could make a scope could
// read any tenant's things.
func TestScopesAreMadeByAuthentication(t *testing.T) {
	root := "../.."
	found := 0
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(path) != ".go" {
			return err
		}
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		if !callsNewScope(f) {
			return nil
		}
		found++
		if name, _ := filepath.Rel(root, path); !strings.HasPrefix(filepath.ToSlash(name), scopeMaker) {
			t.Errorf("%s makes a scope: only the store's authentication may; ask it for one", name)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if found == 0 {
		t.Error("nobody makes a scope: this test looks for the wrong name")
	}
}

func callsNewScope(f *ast.File) bool {
	calls := false
	ast.Inspect(f, func(n ast.Node) bool {
		if s, ok := n.(*ast.SelectorExpr); ok && s.Sel.Name == "NewScope" {
			x, ok := s.X.(*ast.Ident)
			calls = calls || ok && x.Name == "controlapi"
		}
		return true
	})
	return calls
}
