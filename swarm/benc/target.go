package benc

import (
	"fmt"
	"reflect"
	"sync"

	"github.com/anacrolix/torrent/bencode"
)

// checkedTargets remembers the verdict on every target type: reflect.Type to error or nil. Programs have a few dozen.
var checkedTargets sync.Map

var unmarshalerType = reflect.TypeFor[bencode.Unmarshaler]()

// checkTarget refuses what the decoder cannot be trusted with: see "Targets" in the package comment.
func checkTarget(v any) error {
	t := reflect.TypeOf(v)
	if t == nil || t.Kind() != reflect.Pointer || reflect.ValueOf(v).IsNil() {
		return fmt.Errorf("benc: target %T is not a pointer to a variable", v)
	}
	if verdict, ok := checkedTargets.Load(t); ok {
		err, _ := verdict.(error)
		return err
	}
	err := checkType(t, map[reflect.Type]bool{})
	checkedTargets.Store(t, err)
	return err
}

// checkType walks t and everything it is made of. seen ends the walk of recursive types.
func checkType(t reflect.Type, seen map[reflect.Type]bool) error {
	if seen[t] || t.Implements(unmarshalerType) || reflect.PointerTo(t).Implements(unmarshalerType) {
		return nil
	}
	seen[t] = true
	switch t.Kind() {
	case reflect.Pointer:
		return checkType(t.Elem(), seen)
	case reflect.Slice:
		if t.Elem().Kind() == reflect.Interface {
			return fmt.Errorf("benc: target %v: a slice of interfaces never decodes", t)
		}
		return checkType(t.Elem(), seen)
	case reflect.Array:
		if t.Elem().Kind() == reflect.Uint8 {
			return fmt.Errorf("benc: target %v takes strings of any length; use []byte or an Unmarshaler", t)
		}
		return checkType(t.Elem(), seen)
	case reflect.Map:
		if t.Key().Kind() != reflect.String {
			return fmt.Errorf("benc: target %v: keys are not strings", t)
		}
		return checkType(t.Elem(), seen)
	case reflect.Struct:
		for i := range t.NumField() {
			f := t.Field(i)
			if f.Tag.Get("bencode") == "-" {
				continue
			}
			if !f.IsExported() {
				return fmt.Errorf("benc: target %v: field %s is not exported", t, f.Name)
			}
			if err := checkType(f.Type, seen); err != nil {
				return err
			}
		}
	}
	return nil
}
