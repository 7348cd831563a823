package httpapi

import (
	"regexp"
	"strconv"

	"github.com/headrace/headrace/controlapi"
)

// What several operations take. The names are exported because the framework passes over
// embedded types whose names are not.

// ByID is the id of a resource in the path.
type ByID struct {
	ID string `path:"id" minLength:"1" maxLength:"32" pattern:"^[A-Za-z0-9_-]+$" doc:"The id." example:"0197a1c2d3e4f5061728394a5b6c7d8e"`
}

// Paged asks for a part of a list.
type Paged struct {
	After string `query:"after" maxLength:"512" pattern:"^[A-Za-z0-9_=-]*$" doc:"The next of the page before; absent: the first page." example:"MTc2NDAwMDAwMF8wMTk3"`
	Limit int    `query:"limit" minimum:"1" maximum:"200" default:"50" doc:"The most items to answer." example:"50"`
}

func (p *Paged) page() controlapi.Page { return controlapi.Page{After: p.After, Limit: p.Limit} }

// Page is a part of a list. What is created while a list is read neither doubles nor
// hides an item.
type Page[T any] struct {
	Items []T    `json:"items" doc:"The items of this page." nullable:"false"`
	Next  string `json:"next,omitempty" doc:"Asks for the page after this one, as after; absent: this is the last." example:"MTc2NDAwMDAwMF8wMTk3"`
}

// pageOf makes a page of a list of the domain.
func pageOf[T, D any](list controlapi.List[D], present func(D) T) Page[T] {
	page := Page[T]{Items: make([]T, 0, len(list.Items)), Next: list.Next}
	for _, item := range list.Items {
		page.Items = append(page.Items, present(item))
	}
	return page
}

// Once is the input of an operation that takes effect once for each key.
type Once struct {
	IdempotencyKey string `header:"Idempotency-Key" required:"true" minLength:"1" maxLength:"128" pattern:"^[!-~]+$" doc:"Chosen by the caller, new for each intent. A request that is sent again with its key is not carried out again: its first answer is given. Keys are kept for 48 hours." example:"8e03978e-40d5-43dd-bc93-6894a57f9324"`
}

func (o *Once) key() string { return o.IdempotencyKey }

type keyed interface{ key() string }

var isIdempotencyKey = regexp.MustCompile(`^[!-~]{1,128}$`).MatchString

// Conditional is the input of an operation that changes what exists.
type Conditional struct {
	IfMatch string `header:"If-Match" required:"true" maxLength:"64" doc:"The ETag of what was read. The change is refused if it was changed since." example:"\"3\""`
}

// version is what the caller read; -1, which nothing has, for a tag that is not ours.
func (c *Conditional) version() int64 {
	text, err := strconv.Unquote(c.IfMatch)
	if err != nil {
		return -1
	}
	version, err := strconv.ParseInt(text, 10, 64)
	if err != nil || version < 1 || etag(version) != c.IfMatch {
		return -1
	}
	return version
}

// onlyVersion is the version of what is made and deleted, but never changed.
const onlyVersion = 1

func (c *Conditional) onlyVersion() error {
	if c.version() != onlyVersion {
		return controlapi.Errorf(controlapi.CodePreconditionFailed, "the ETag of what never changes is %s", etag(onlyVersion))
	}
	return nil
}
