package custom

import "time"

// Service is one service of docker-compose.override.yml after it was merged over
// the class's own compose file, in plain values. The zero value of each field
// means Docker's default. Every field was checked against the [Policy].
type Service struct {
	Name, Image, User, WorkDir, Hostname, Runtime, Restart, StopSignal string

	Entrypoint, Cmd  []string
	Env              []string // NAME=value, sorted by name
	CapAdd, CapDrop  []string
	SecurityOpt      []string
	GroupAdd         []string
	ExtraHosts       []string // name:address
	DNS, DNSSearch   []string
	DependsOn        []string // names of services, sorted
	Labels, Sysctls  map[string]string
	Tmpfs            map[string]string // path -> options such as "size=256m,mode=1777"
	BuildArgs        map[string]string // arguments for the image build, such as GROUP_ID (A6)
	Mounts           []Mount
	Ulimits          []Ulimit
	Devices          []Device
	DeviceRequests   []DeviceRequest
	Ports            []Port
	ReadOnly         bool
	Init             *bool // nil: not said
	Tty, Privileged  bool
	NetworkHost      bool // network_mode: host; only by policy
	HostPID, HostIPC bool // only by policy

	Memory, MemorySwap, ShmSize int64 // bytes
	Pids                        int64 // count
	CPUs                        float64
	OOMScoreAdj                 int
	StopGrace                   time.Duration
}

// Mount is one entry of a service's volumes. Exactly one of Volume, Content and
// Host is set.
type Mount struct {
	Volume   string // a named volume; "" and no other source: an anonymous one
	Content  string // a path in the teacher's folder: "shared", "home_default", "home", or beneath one of them
	Host     string // an absolute path of the machine; only by policy
	Target   string // absolute, in the container
	ReadOnly bool
	NoCreate bool // a missing Host is an error and not a new directory
}

// Ulimit is one process limit, such as nofile.
type Ulimit struct {
	Name       string
	Soft, Hard int64
}

// Device is a device of the machine; only by policy.
type Device struct{ Host, Container, Permissions string }

// DeviceRequest asks a driver for devices, as a GPU reservation does. Count -1 means all.
type DeviceRequest struct {
	Driver       string
	Count        int
	IDs          []string
	Capabilities []string
	Options      map[string]string
}

// Port publishes a container's port on the machine. HostPort may be "" (any) or a range "8000-8010".
type Port struct {
	HostIP, HostPort string
	ContainerPort    int
	Protocol         string // tcp or udp
}
