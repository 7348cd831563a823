package conformance
import (
	_ "github.com/anishathalye/porcupine"
	_ "github.com/oasdiff/oasdiff/checker"
	_ "github.com/oasdiff/oasdiff/diff"
	_ "github.com/oasdiff/oasdiff/load"
	_ "github.com/pb33f/libopenapi"
	_ "github.com/pb33f/libopenapi-validator"
	_ "github.com/oapi-codegen/runtime"
)
