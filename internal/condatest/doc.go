// Package condatest makes conda packages and channels for tests, without any network:
// packages of both formats, honest ones and ones that lie, channels served over HTTP
// that can be slow, cut off or away, and a real Python as the channel's python package,
// so that kernels of an environment made from it really run.
//
// The formats are those of conda's specification: the .conda format (a stored zip of two
// tars), the older .tar.bz2, info/{index,paths,link,about}.json, repodata.json with
// repodata_version 1, and channel/subdir/file as the layout of a channel.
//
// Everything is deterministic: the same Package is the same bytes, on every machine.
package condatest
