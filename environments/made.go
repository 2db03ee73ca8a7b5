package environments

import "github.com/conjuring/conjured/notice"

// Made is the outcome of [Builder.Make].
type Made struct {
	Generation Generation
	New        bool        // false: it was there already
	Notices    notice.List // warnings; nil when all is as asked
}
