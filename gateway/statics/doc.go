// Package statics makes Lab's pages small on the air: it answers for the files that
// every student's server would give to anybody, compressed once for all students, and
// compresses the answers that only a server can give.
//
// Terms. A tree is a directory of such files in a generation of an environment, and
// the place below a server's address where Jupyter shows it. A proven file is one
// whose address holds a hash of its content (Lab's bundler names files so), which was
// computed again here. A coding is gzip, brotli or zstd.
//
// Invariants.
//   - What is served is read from the generations on disk, never learned from what a
//     server answers: those belong to students.
//   - Only proven files are served. So it does not matter which generation a student's
//     server runs: another generation's file of that name is the same file, and an
//     address that is not proven goes to the server.
//   - A compressed file is used after it was decompressed and compared, also after a
//     restart. A file that a power cut tore is made again; nothing needs to be synced.
//   - Nothing is held in memory but the index: files go from the page cache to the
//     socket.
//   - Nothing private: no answer depends on who asks, sets a cookie or is an error.
package statics
