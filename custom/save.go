package custom

import "context"

// Save writes the folder's bytes to dst, which must not exist: whole or not at
// all, on the disk when it returns. What changed since [Read] is a *notice.Error
// of code folder-changed. Cancelling ctx leaves nothing behind.
func (f *Folder) Save(ctx context.Context, dst string) error { return nil }

// Load reads what [Folder.Save] wrote. A copy whose bytes are not what was saved
// is a *notice.Error of code setup-damaged. Policy is the machine's policy of
// today: the notices of the folder say what it refuses.
func Load(ctx context.Context, dir string, policy Policy) (*Folder, error) {
	f, l := Read(ctx, dir, Options{Policy: policy})
	if f == nil {
		return nil, l
	}
	return f, nil
}
