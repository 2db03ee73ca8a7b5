# The second half of attack.py: the operating system's kernel. Read after it, in the
# same namespace.
# ruff: noqa: F821

FLAGS = {"mount": 0x20000, "cgroup": 0x02000000, "uts": 0x04000000, "ipc": 0x08000000, "user": 0x10000000,
         "pid": 0x20000000, "net": 0x40000000, "time": 0x80, "user and net": 0x50000000, "user and mount": 0x10020000}


def in_child(f):
    """What f gets, in a process of its own: it may do harm to the one it runs in."""
    r, w = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            got = f()
        except BaseException:
            got = None
        os.write(w, json.dumps(got).encode())
        os._exit(0)
    os.close(w)
    said = os.read(r, 4096)
    os.close(r)
    os.waitpid(pid, 0)
    return json.loads(said) if said else None


@each("namespaces", "unshare", FLAGS)
def unshare(what):
    return in_child(lambda: None if libc.unshare(FLAGS[what]) else "unshared")


@each("namespaces", "clone with a new namespace of", FLAGS)
def clone(what):
    def try_it():
        r = libc.syscall(56, FLAGS[what] | 17, 0, 0, 0, 0)  # clone; 17 is SIGCHLD
        if r == 0:
            os._exit(0)
        return None if r == -1 else "cloned"

    return None if FLAGS[what] == 0x80 else in_child(try_it)  # 0x80 is part of the signal there


@row("namespaces", "clone3 with a new user namespace")
def clone3():
    def try_it():
        args = (ctypes.c_uint64 * 11)(0x10000000, 0, 0, 0, 17)
        r = libc.syscall(435, args, 88)
        if r == 0:
            os._exit(0)
        return None if r == -1 else "cloned"

    return in_child(try_it)


@each("namespaces", "enter the first process's", ["mnt", "net", "pid", "user", "ipc", "uts", "cgroup"])
def setns(kind):
    def try_it():
        fd = os.open(f"/proc/1/ns/{kind}", os.O_RDONLY)
        return None if libc.setns(fd, 0) else "entered"

    return in_child(try_it)


@row("namespaces", "unshare(1)")
def unshare_program():
    return runs("unshare", "-Urn", "true")


def runs(*args):
    r = subprocess.run(args, capture_output=True, timeout=5, stdin=subprocess.DEVNULL)
    return None if r.returncode else f"{args} ran: {(r.stdout + r.stderr)[:200]!r}"


@each("setuid", "run", ["su -c id", "sudo -n id", "passwd -d root", "mount -t tmpfs none /mnt", "umount /shared", "chsh -s /bin/sh root",
                        "newgrp root", "pkexec id", "ping -c1 127.0.0.1 -I eth0", "chroot / true", "nsenter -t 1 -a true"])
def setuid_program(line):
    return runs(*line.split())


@row("setuid", "a program made setuid root in the home")
def own_setuid():
    path = os.path.join(P["home"], ".setuid")
    subprocess.run(["cp", "/bin/bash", path], check=True)
    try:
        os.chmod(path, 0o4755)
        r = subprocess.run([path, "-p", "-c", "id -u"], capture_output=True, text=True, timeout=5)
        return r.stdout if r.stdout.strip() == "0" else None
    finally:
        os.unlink(path)


@each("setuid", "become", ["uid 0", "gid 0", "the neighbour", "group 0", "all capabilities"])
def become(who):
    def try_it():
        if who == "uid 0":
            os.setresuid(0, 0, 0)
        elif who == "gid 0":
            os.setresgid(0, 0, 0)
        elif who == "the neighbour":
            os.setresuid(P["neighbour_uid"], P["neighbour_uid"], P["neighbour_uid"])
        elif who == "group 0":
            os.setgroups([0])
        else:
            head = (ctypes.c_uint32 * 2)(0x20080522, 0)
            data = (ctypes.c_uint32 * 6)(*[0xFFFFFFFF] * 6)
            return syscall(126, head, data)  # capset
        return "became"

    return in_child(try_it)


@each("setuid", "has", ["CapEff", "CapPrm", "CapBnd", "CapAmb", "CapInh"])
def capabilities(which):
    for pid in ("self", "1"):
        value = int(status(pid)[which], 16)
        if value:
            return f"{which} of {pid} is {value:x}"
    return None


def status(pid):
    return dict(line.split(":\t", 1) for line in open(f"/proc/{pid}/status").read().splitlines() if ":\t" in line)


@row("setuid", "NoNewPrivs or the system call filter is off")
def unfiltered():
    s = status("self")
    return None if s["NoNewPrivs"] == "1" and s["Seccomp"] == "2" else f"{s['NoNewPrivs']} {s['Seccomp']}"


CALLS = {  # of x86-64: number and arguments that would do something, or ask for something
    "mount tmpfs": (165, b"none", b"/tmp", b"tmpfs", 0, None), "mount bind": (165, b"/etc", b"/tmp", None, 4096, None),
    "mount proc": (165, b"proc", b"/tmp", b"proc", 0, None), "mount cgroup": (165, b"cgroup", b"/tmp", b"cgroup", 0, b"memory"),
    "remount / writable": (165, None, b"/", None, 32, None), "remount /shared writable": (165, None, b"/shared", None, 32 | 4096, None),
    "make / shared": (165, None, b"/", None, 1 << 20, None),
    "umount /proc/kcore": (166, b"/proc/kcore", 0), "umount /etc/passwd": (166, b"/etc/passwd", 2), "pivot_root": (155, b"/", b"/tmp"),
    "chroot": (161, b"/tmp"), "fsopen": (430, b"tmpfs", 0), "open_tree": (428, -100, b"/", 1), "move_mount": (429, -100, b"/tmp", -100, b"/mnt", 0),
    "mount_setattr": (442, -100, b"/", 0, (ctypes.c_uint64 * 4)(0, 1, 0, 0), 32),
    "mknod char": (133, b"/tmp/null", 0o20666, 0x103), "mknod disk": (133, b"/tmp/disk", 0o60666, 0xFE00),
    "add_key": (248, b"user", b"x", b"y", 1, -3), "keyctl": (250, 0, -3, 0), "request_key": (249, b"user", b"x", None, -3),
    "bpf": (321, 0, (ctypes.c_uint32 * 16)(1, 4, 4, 1), 64), "perf_event_open": (298, (ctypes.c_uint32 * 32)(0, 128), 0, -1, -1, 0),
    "kexec_load": (246, 0, 0, None, 0), "kexec_file_load": (320, -1, -1, 0, None, 0), "init_module": (175, b"x", 1, b""),
    "finit_module": (313, 0, b"", 0), "delete_module": (176, b"overlay", 0x800), "reboot": (169, 0xFEE1DEAD, 672274793, 0),
    "swapon": (167, b"/tmp/x", 0), "swapoff": (168, b"/tmp/x"), "settimeofday": (164, (ctypes.c_int64 * 2)(1, 0), None),
    "clock_settime": (227, 0, (ctypes.c_int64 * 2)(1, 0)), "adjtimex": (159, (ctypes.c_uint64 * 32)(0x4000)),
    "sethostname": (170, b"x", 1), "setdomainname": (171, b"x", 1), "acct": (163, b"/tmp/x"), "quotactl": (179, 0x800002, None, 0, None),
    "read the kernel's log": (103, 3, ctypes.create_string_buffer(99), 99), "clear the kernel's log": (103, 5, None, 0),
    "iopl": (172, 3), "ioperm": (173, 0, 1, 1), "open_by_handle_at": (304, -100, (ctypes.c_uint32 * 4)(8, 1, 2, 0), 0),
    "userfaultfd": (323, 0), "fanotify_init": (300, 0, 0), "vhangup": (153,), "lookup_dcookie": (212, 0, None, 0),
    "ptrace process 1's neighbour outside": (101, 0x4206, None, None, None), "kcmp with process 1": (312, 1, 99999, 0, 0, 0),
    "move_pages of others": (279, 99999, 0, None, None, None, 0), "pidfd_open outside": (434, 0, 0), "nfsservctl": (180, 0, None, None),
    "uselib": (134, b"/bin/bash"), "modify_ldt of others": (154, 99), "create_module": (174, b"x", 1), "setns without a file": (308, -1, 0),
}


@each("system calls", "call", CALLS)
def call(name):
    if name.startswith("ptrace"):
        return in_child(lambda: syscall(101, 16, P["outside_pid"], None, None))
    if name.startswith("pidfd_open"):
        return syscall(434, P["outside_pid"], 0)
    number, *args = CALLS[name]
    return in_child(lambda: syscall(number, *args))


@row("processes", "see processes of other users")
def others():
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            if os.stat(f"/proc/{pid}").st_uid != os.getuid():
                return f"process {pid} is of {os.stat(f'/proc/{pid}').st_uid}"
        except FileNotFoundError:
            pass
    return None


@each("processes", "signal a process outside with", [0, 9, 19])
def kill(signal):
    os.kill(P["outside_pid"], signal)
    return "sent"


@row("processes", "read the memory of a process outside")
def peek():
    return opens(f"/proc/{P['outside_pid']}/mem", os.O_RDONLY)


@row("processes", "shared memory and queues of others")
def ipc():
    got = [n for n in ("shm", "sem", "msg") if len(open(f"/proc/sysvipc/{n}").readlines()) > 1]
    return got or None


@row("processes", "raise its priority")
def priority():
    return in_child(lambda: os.nice(-5) and None or "raised")


@row("processes", "real-time scheduling")
def realtime():
    return in_child(lambda: os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1)) or "got it")


@row("processes", "safe from the memory killer")
def unkillable():
    """A student's programs go before the machine's own, which are at 0 or below."""

    def try_it():
        fd = os.open("/proc/self/oom_score_adj", os.O_WRONLY)
        os.write(fd, b"-1")
        return "lowered"

    return in_child(try_it)


@each("processes", "raise the limit of", ["NOFILE", "CORE", "MEMLOCK", "NICE", "RTPRIO"])
def rlimit(name):
    which = getattr(resource, "RLIMIT_" + name)

    def try_it():
        soft, hard = resource.getrlimit(which)
        if hard == resource.RLIM_INFINITY:
            return f"{name} is unlimited"
        resource.setrlimit(which, (soft, hard + 1))
        return "raised"

    return in_child(try_it)


@each("/proc and /sys", "write", [
    "/proc/sys/kernel/core_pattern", "/proc/sys/kernel/hostname", "/proc/sys/kernel/sysrq", "/proc/sys/kernel/modprobe",
    "/proc/sys/kernel/pid_max", "/proc/sys/kernel/randomize_va_space", "/proc/sys/vm/overcommit_memory", "/proc/sys/vm/drop_caches",
    "/proc/sys/net/ipv4/ip_forward", "/proc/sys/net/ipv6/conf/eth0/disable_ipv6", "/proc/sys/net/ipv4/conf/all/accept_redirects",
    "/proc/sys/fs/binfmt_misc/register", "/proc/sys/fs/protected_hardlinks", "/proc/sysrq-trigger", "/proc/irq/default_smp_affinity",
    "/proc/bus/pci/devices", "/proc/1/oom_score_adj", "/proc/mtrr", "/proc/self/uid_map", "/proc/acpi/wakeup", "/proc/driver/rtc",
    "/sys/kernel/uevent_helper", "/sys/kernel/mm/transparent_hugepage/enabled", "/sys/power/state", "/sys/class/net/eth0/mtu",
    "/sys/block/vda/queue/scheduler", "/sys/devices/system/cpu/cpu1/online", "/sys/module/kernel/parameters/panic", "/sys/fs/cgroup/evil",
])
def proc_write(path):
    fd = os.open(path, os.O_WRONLY | (os.O_CREAT if path.endswith("evil") else 0))
    try:
        if path == "/proc/1/oom_score_adj":  # one's own to raise, never to lower
            os.write(fd, b"-999")
        elif path == "/proc/self/uid_map":
            os.write(fd, b"0 0 1")
        return f"opened {path} for writing"
    finally:
        os.close(fd)


@each("/proc and /sys", "read", ["/proc/kcore", "/proc/kmsg", "/proc/keys", "/proc/timer_list", "/proc/sched_debug", "/proc/latency_stats",
                                 "/proc/slabinfo", "/proc/vmallocinfo", "/proc/kpagecount", "/proc/kpageflags", "/proc/iomem", "/proc/scsi/scsi",
                                 "/sys/firmware/dmi/tables/DMI", "/sys/kernel/debug/tracing/trace", "/sys/kernel/security/lsm",
                                 "/sys/firmware/acpi/tables/DSDT", "/proc/acpi/info"])
def proc_read(path):
    with open(path, "rb") as f:
        got = f.read(200)
    if path == "/proc/iomem":
        got = got.replace(b"0", b"").strip() and None if b"00000000-00000000" in got else got
    return f"{path}: {got[:60]!r}" if got else None


@row("/proc and /sys", "addresses of the kernel")
def kallsyms():
    with open("/proc/kallsyms") as f:
        return next((line for _, line in zip(range(500), f) if int(line.split()[0], 16)), None)


@row("/proc and /sys", "environments of others")
def environs():
    for path in glob.glob("/proc/[0-9]*/environ"):
        try:
            text = open(path, "rb").read()
        except OSError:
            continue
        if P["neighbour_token"].encode() in text or f"JUPYTERHUB_USER={P['neighbour']}".encode() in text:
            return path
    return None


@each("control groups", "write", ["release_agent", "notify_on_release", "cgroup.procs", "tasks", "memory.limit_in_bytes", "memory.max",
                                  "pids.max", "cpu.shares", "devices.allow", "cgroup.subtree_control"])
def cgroup(name):
    for path in [p for d in ("", "*/", "*/docker/*/") for p in glob.glob(f"/sys/fs/cgroup/{d}{name}")]:
        try:
            return opens(path, os.O_WRONLY)
        except OSError:
            pass
    return None


@row("control groups", "make one")
def cgroup_mkdir():
    for d in ["/sys/fs/cgroup", *glob.glob("/sys/fs/cgroup/*/")]:
        try:
            os.mkdir(os.path.join(d, "evil"))
            return d
        except OSError:
            pass
    return None


@each("devices", "open", ["mem", "kmem", "port", "kmsg", "vda", "sda", "nvme0n1", "loop0", "loop-control", "fuse", "kvm", "net/tun", "vhost-net",
                          "vfio/vfio", "rtc0", "watchdog", "mapper/control", "uinput", "input/event0", "dri/card0", "snapshot", "cuse", "userfaultfd"])
def device(name):
    return opens(f"/dev/{name}", os.O_RDONLY)


@row("devices", "a device node that is not one of the usual")
def odd_devices():
    usual = {"null", "zero", "full", "random", "urandom", "tty", "ptmx", "console", "stdin", "stdout", "stderr", "fd", "core"}
    for name in os.listdir("/dev"):
        mode = os.lstat(f"/dev/{name}").st_mode
        if (stat.S_ISBLK(mode) or stat.S_ISCHR(mode)) and name not in usual:
            return name
    return None
