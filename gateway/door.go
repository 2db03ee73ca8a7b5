package gateway

import (
	"context"
	"net/http"
)

type proxy struct{ flights flights }

type door struct {
	config Config
	proxy  proxy
}

func newDoor(c Config) (*door, error)                            { return &door{config: c}, nil }
func (d *door) start(context.Context)                            {}
func (d *door) drain()                                           {}
func (d *door) wait()                                            {}
func (d *door) ServeHTTP(w http.ResponseWriter, r *http.Request) { answer(w, 503, "not yet") }
func explainListen(address string, err error) error              { return err }
