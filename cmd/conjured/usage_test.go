package main

import (
	"bytes"
	"testing"

	"github.com/conjuring/conjured/api"
)

// Who uses what, each with its limit; a server that does not run yet uses nothing.
func TestPrintServers(t *testing.T) {
	var out bytes.Buffer
	printServers(&out, []api.Server{
		{User: "amira", State: "ready", Usage: &api.Usage{
			MemoryBytes: 300 << 20, MemoryLimit: 512 << 20, CPU: 1.26, CPULimit: 1.5, Processes: 14, ProcessMax: 512,
			TmpBytes: 1 << 20, TmpLimit: 256 << 20, DiskBytes: 90 << 20,
		}},
		{User: "ben", Name: "maths", State: "queued"},
	})
	want := `
server     state   memory         cores       processes  /tmp         home
amira      ready   300 of 512 MB  1.3 of 1.5  14 of 512  1 of 256 MB  90 MB
ben/maths  queued  -              -           -          -            -
`
	if got := out.String(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}
