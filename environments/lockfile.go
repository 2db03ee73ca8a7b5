package environments

// RequirementsLock is the packages of the Python index in m, the file requirements.lock:
// what `pip install --require-hashes -r` and uv install without choosing anything. It is
// nil when there are none.
func (m Manifest) RequirementsLock() []byte { return m.body() }

// ParseRequirementsLock reads a requirements file in which every line is pinned with ==
// or an address. Comments and options for an index are skipped, markers are dropped.
func ParseRequirementsLock(b []byte) ([]Package, error) { return parseLock(b) }
