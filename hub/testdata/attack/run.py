# The end of attack.py: do it all.
# ruff: noqa: F821


def attempt(f):
    try:
        return f()
    except BaseException as e:
        attempt.last = e
        return None


def main(params, out):
    P.update(json.load(open(params)))
    file_rows()
    socket_rows()
    network_rows()
    hub_rows()
    slow = {"the machine", "other students", "the school's network", "cloud metadata", "ipv6", "the hub's API"}
    got = {}
    with ThreadPoolExecutor(32) as pool:
        waiting = {i: pool.submit(attempt, f) for i, (group, _, f) in enumerate(ROWS) if group in slow}
        got = {i: w.result() for i, w in waiting.items()}
    for i, (_, _, f) in enumerate(ROWS):  # these fork: only when no thread runs
        if i not in got:
            got[i] = attempt(f)
    with open(out + ".part", "w") as f:
        for i, (group, name, _) in enumerate(ROWS):
            f.write(json.dumps({"group": group, "name": name, "got": got[i]}, default=str) + "\n")
    os.rename(out + ".part", out)


main(*ATTACK)
