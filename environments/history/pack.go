package history

import (
	"bytes"
	"compress/zlib"
	"crypto/sha1" //nolint:gosec // git's own checksum of a pack
	"encoding/binary"
)

// pack writes objects as a git pack: a header, each object with its kind and length
// before its compressed bytes, and a checksum (gitformat-pack(5)). Index-pack checks
// every byte of it when it takes it in.
func pack(objs []object) []byte {
	var b bytes.Buffer
	b.WriteString("PACK")
	_ = binary.Write(&b, binary.BigEndian, [2]uint32{2, uint32(len(objs))})
	z := zlib.NewWriter(&b) // one for all: it takes a megabyte
	for _, o := range objs {
		number := map[kind]int{commitKind: 1, treeKind: 2, blobKind: 3, tagKind: 4}[o.kind]
		size := len(o.data)
		c := byte(number<<4 | size&0x0f) // the first byte has four bits of the length, the others seven
		for size >>= 4; size > 0; size >>= 7 {
			b.WriteByte(c | 0x80)
			c = byte(size & 0x7f)
		}
		b.WriteByte(c)
		z.Reset(&b)
		_, _ = z.Write(o.data)
		_ = z.Close()
	}
	sum := sha1.Sum(b.Bytes()) //nolint:gosec // see above
	b.Write(sum[:])
	return b.Bytes()
}
