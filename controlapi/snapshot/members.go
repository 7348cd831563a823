package snapshot

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
)

// checkMembers refuses a document that leaves something out. What it leaves out would
// be read as zero: no bound, no end, no grant.
func checkMembers(b []byte) error {
	return checkValue(b, reflect.TypeFor[Document](), "")
}

// checkValue looks at a value of type t; path names it in errors.
func checkValue(b []byte, t reflect.Type, path string) error {
	switch t.Kind() {
	case reflect.Struct:
		return checkStruct(b, t, path)
	case reflect.Slice:
		if !holdsStruct(t.Elem()) {
			return nil
		}
		var items []json.RawMessage
		if json.Unmarshal(b, &items) != nil {
			return fmt.Errorf("member %q: it is no list", path)
		}
		for i, item := range items {
			if err := checkValue(item, t.Elem(), fmt.Sprintf("%s[%d]", path, i)); err != nil {
				return err
			}
		}
	case reflect.Map:
		if !holdsStruct(t.Elem()) {
			return nil
		}
		var members map[string]json.RawMessage
		if json.Unmarshal(b, &members) != nil {
			return fmt.Errorf("member %q: it is no object", path)
		}
		for name, item := range members {
			if err := checkValue(item, t.Elem(), path+"."+name); err != nil {
				return err
			}
		}
	}
	return nil
}

func checkStruct(b []byte, t reflect.Type, path string) error {
	var members map[string]json.RawMessage
	if json.Unmarshal(b, &members) != nil || members == nil {
		if path == "" {
			return errNotJSON
		}
		return fmt.Errorf("member %q: it is no object", path)
	}
	for i := range t.NumField() {
		name, options, _ := strings.Cut(t.Field(i).Tag.Get("json"), ",")
		value, there := members[name]
		if !there || bytes.Equal(value, []byte("null")) {
			if options == "omitempty" {
				continue
			}
			return fmt.Errorf("member %q is missing", strings.TrimPrefix(path+"."+name, "."))
		}
		if err := checkValue(value, t.Field(i).Type, strings.TrimPrefix(path+"."+name, ".")); err != nil {
			return err
		}
	}
	return nil
}

// holdsStruct tells whether there are members below t.
func holdsStruct(t reflect.Type) bool {
	switch t.Kind() {
	case reflect.Struct:
		return true
	case reflect.Slice, reflect.Map:
		return holdsStruct(t.Elem())
	}
	return false
}
