#!/usr/bin/env python3
"""What a worker adds to a container: from its claim to the payload's start, and from the payload's end to the final row.

Side by side, by turns, in one run: `docker run` of the same image with the same command that does nothing, and a job of a
local flock. When a container started and ended is the engine's word (its events), for both.

    cargo build --release && DOCKER_HOST=… benches/container/overhead.py --binary target/release/shepard

Needs a Docker engine, the program `docker`, and a static busybox. Leaves nothing behind.
"""
import argparse
import json
import os
import statistics
import subprocess
import tempfile
import time
import zipfile

IMAGE = f"shepard-bench-{os.getpid()}:1"


def run(words, **more):
    return subprocess.run(words, check=True, stdout=subprocess.PIPE, **more).stdout


def make_image(folder):
    """One layer with busybox, from no registry."""
    root = os.path.join(folder, "root")
    os.makedirs(os.path.join(root, "bin"))
    busybox = next(path for path in ("/bin/busybox", "/usr/bin/busybox") if os.path.exists(path))
    run(["cp", busybox, os.path.join(root, "bin", "busybox")])
    archive = run(["tar", "-C", root, "-c", "."])
    run(["docker", "import", "--change", 'ENTRYPOINT ["/bin/busybox", "true"]', "-", IMAGE], input=archive)


def times(since, until):
    """Start and end of each container of the image, by name, in milliseconds."""
    text = run(["docker", "events", "--since", str(since), "--until", str(until), "--filter", "type=container",
                "--format", "{{json .}}"]).decode()
    found = {}
    for event in map(json.loads, text.splitlines()):
        of = event["Actor"]["Attributes"]
        if of.get("image") in (IMAGE, image_id) and event["Action"] in ("start", "die"):
            found.setdefault(of["name"], {})[event["Action"]] = event["timeNano"] / 1e6
    return found


def say(what, values):
    values = sorted(values)
    print(f"{what:44} median {statistics.median(values):7.1f} ms   p90 {values[int(len(values) * 0.9)]:7.1f} ms")


arguments = argparse.ArgumentParser()
arguments.add_argument("--binary", required=True)
arguments.add_argument("--runs", type=int, default=30)
arguments = arguments.parse_args()

with tempfile.TemporaryDirectory() as folder:
    make_image(folder)
    image_id = run(["docker", "image", "inspect", "--format", "{{.Id}}", IMAGE]).decode().strip()
    environment = {**os.environ, **{f"XDG_{name}_HOME": f"{folder}/{name}" for name in ("DATA", "CONFIG", "STATE", "CACHE")}}
    environment.pop("XDG_RUNTIME_DIR", None)

    def shepard(*words):
        out = run([arguments.binary, *words, "--output", "json"], env=environment, stderr=subprocess.DEVNULL)
        return json.loads(out) if out.strip() else None

    began = int(time.time()) - 1
    try:
        shepard("local", "create", "f", "--image", IMAGE, "--host-network", "--max-jobs", "1")
        shepard("local", "start", "f")
        plain, jobs = {}, {}
        for turn in range(arguments.runs + 1):
            name = f"shepard-bench-{os.getpid()}-{turn}"
            before = time.time() * 1000
            run(["docker", "run", "--rm", "--network", "host", "--name", name, IMAGE])
            plain[name] = (before, time.time() * 1000)
            upload = os.path.join(folder, f"{turn}.zip")
            with zipfile.ZipFile(upload, "w") as archive:
                archive.writestr("inputs.txt", json.dumps({"N": turn}))
            id = shepard("batch", "--flock", "f", "--path", upload)["jobs"][0]["id"]
            while True:
                # Seldom: who asks takes processor time from what is measured.
                time.sleep(0.5)
                row = shepard("query", "--flock", "f", id)[0]
                if row["outcome"]:
                    break
            assert row["outcome"] == "succeeded", row
            jobs[id] = (row["started"], row["ended"])
        time.sleep(1)
        seen = times(began, int(time.time()) + 1)
    finally:
        subprocess.run([arguments.binary, "local", "rm", "f", "--yes", "f"], env=environment, check=False,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        subprocess.run(["docker", "image", "rm", IMAGE], check=False, stdout=subprocess.DEVNULL)

    def parts(of):
        # The first of each warms up what the others find warm.
        names = list(of)[1:]
        return ([seen[name]["start"] - of[name][0] for name in names],
                [of[name][1] - seen[name]["die"] for name in names])

    (run_before, run_after), (job_before, job_after) = parts(plain), parts(jobs)
    print(f"{arguments.runs} turns; load average {os.getloadavg()[0]:.1f}")
    say("docker run: called to payload's start", run_before)
    say("docker run: payload's end to its own", run_after)
    say("worker: claim to payload's start", job_before)
    say("worker: payload's end to final row", job_after)
    both = [a + b for a, b in zip(run_before, run_after)]
    worker = [a + b for a, b in zip(job_before, job_after)]
    say("docker run, both", both)
    say("worker, both", worker)
    print(f"{'worker beyond docker run, of the medians':44}        "
          f"{statistics.median(worker) - statistics.median(both):7.1f} ms")
