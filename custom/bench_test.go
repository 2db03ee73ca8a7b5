package custom

import (
	"fmt"
	"path/filepath"
	"testing"
)

// BenchmarkRead is what a no-op apply costs here: the sample class, the same with an
// override, and 2,000 files of content.
func BenchmarkRead(b *testing.B) {
	sample := filepath.Join(b.TempDir(), "class")
	must(b, WriteSample(sample))
	many := files{}
	for i := range 2000 {
		many[fmt.Sprintf("shared/%d/%d.txt", i%40, i)] = fmt.Sprint(i)
	}
	for name, dir := range map[string]string{
		"sample": sample, "override": files{OverrideYML: conjuringWith("shm_size: 1g")}.write(b, b.TempDir()), "2000files": many.write(b, b.TempDir()),
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if _, l := Read(b.Context(), dir, Options{}); l.HasErrors() {
					b.Fatal(dump(l))
				}
			}
		})
	}
}
