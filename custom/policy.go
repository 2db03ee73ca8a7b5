package custom

// Policy is what the machine's own settings let an override ask for. The folder
// may come from any stick, so the zero Policy, which allows nothing that reaches
// the machine, is what a box has until its administrator says otherwise in /etc.
type Policy struct {
	Privileged bool     `json:"privileged,omitempty"` // privileged: true
	HostPaths  []string `json:"host_paths,omitempty"` // absolute paths; a bind mount of one, or of something beneath one, is allowed
	Devices    []string `json:"devices,omitempty"`    // host devices, such as /dev/ttyUSB0
	HostNet    bool     `json:"host_net,omitempty"`   // network_mode: host
	HostPID    bool     `json:"host_pid,omitempty"`   // pid: host
	HostIPC    bool     `json:"host_ipc,omitempty"`   // ipc: host
	CapAdd     []string `json:"cap_add,omitempty"`    // capabilities beyond the harmless ones, such as SYS_PTRACE

	// AnacondaChannels says that the school has a licence for the channels of Anaconda,
	// so that an environment may name one by its address.
	AnacondaChannels bool `json:"anaconda_channels,omitempty"`

	// Index is the address of the box's own package index, a mirror of PyPI, which a file
	// may name as well; "" when it has none.
	Index string `json:"index,omitempty"`
}
