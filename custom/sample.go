package custom

// WriteSample writes the sample class into dst, which must be absent or empty;
// anything in it is a *notice.Error of code folder-not-empty.
func WriteSample(dst string) error { return nil }
