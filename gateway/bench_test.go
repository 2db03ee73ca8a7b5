package gateway

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"testing"
)

// Each benchmark goes browser -> front door -> unix socket and back; the target's
// own cost and the client's are in the figures.

func BenchmarkSmallGET(b *testing.B) {
	h := open(b)
	h.target("/user/al", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, `{"ok":true}`) }))
	b.ReportAllocs()
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			fetch(b, h.url+"/user/al/api/status")
		}
	})
}

func Benchmark1MB(b *testing.B) {
	h := open(b)
	body := bytes.Repeat([]byte("x"), 1<<20)
	h.target("/user/al", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = w.Write(body) }))
	b.SetBytes(1 << 20)
	b.ResetTimer()
	for b.Loop() {
		fetch(b, h.url+"/user/al/files/x")
	}
}

func BenchmarkWebsocket(b *testing.B) {
	h := open(b)
	h.target("/user/al", wsEcho(b))
	c := dialWS(b, h, "/user/al/ws")
	message := bytes.Repeat([]byte("x"), 1<<10)
	b.ReportAllocs()
	b.ResetTimer()
	for b.Loop() {
		echoWS(b, c, message)
	}
}

// BenchmarkAdd is one change of a table of 1,000 routes.
func BenchmarkAdd(b *testing.B) {
	r, err := OpenRoutes(RoutesConfig{})
	if err != nil {
		b.Fatal(err)
	}
	for i := range 1000 {
		_ = r.Add(fmt.Sprintf("/user/student-%d", i), data("http://h"))
	}
	b.ReportAllocs()
	b.ResetTimer()
	for b.Loop() {
		if err := r.Add("/user/student-500", data("http://h")); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkFind(b *testing.B) {
	r, err := OpenRoutes(RoutesConfig{})
	if err != nil {
		b.Fatal(err)
	}
	for i := range 1000 {
		_ = r.Add(fmt.Sprintf("/user/student-%d", i), data("http://h"))
	}
	b.ReportAllocs()
	b.ResetTimer()
	for b.Loop() {
		if r.find("user/student-777/api/kernels") == nil {
			b.Fatal("not found")
		}
	}
}

func fetch(b *testing.B, url string) {
	res, err := http.Get(url)
	if err != nil {
		b.Error(err)
		return
	}
	_, _ = io.Copy(io.Discard, res.Body)
	_ = res.Body.Close()
}
