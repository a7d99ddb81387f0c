"""A real cluster of processes for the scripts that try it: a small job, a coordinator, workers, and what they print.

Every process that is started here is known by its handle and ended by it; nothing else is touched.
"""
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")
MODEL = os.path.abspath(os.path.join(ROOT, "Tests/ParityTests/Fixtures/qwen3-gqa"))


class Problem(Exception):
    """What went wrong, for the last line."""


class Cluster:
    """Folders and processes of one trial; `within` is a command prefix for the coordinator, such as a namespace's."""

    def __init__(self, drover, seconds, name, host="127.0.0.1"):
        self.drover = os.path.abspath(drover)
        self.began, self.seconds = time.time(), seconds
        self.folder = tempfile.mkdtemp(prefix=f"drover-{name}-")
        # `listens` is where the coordinator listens, when that is not the address it is reached at.
        self.host, self.address, self.listens = host, None, None
        self.within, self.within_workers = [], []
        self.coordinator_options = []
        self.coordinator = self.follower = None
        # `progress` is the newest step, `crew` the number of workers that made it.
        self.workers, self.seen, self.moments, self.end, self.progress, self.crew = {}, [], [], None, 0, 0
        self.count = 0

    # The clock.

    def left(self):
        return self.began + self.seconds - time.time()

    def say(self, text):
        print(f"{time.time() - self.began:6.1f} s  {text}", flush=True)

    def wait(self, what, is_there, meanwhile=lambda: None):
        while not is_there():
            if self.left() < 0:
                raise Problem(f"no end after {self.seconds:.0f} s: {what}")
            meanwhile()
            time.sleep(0.01)

    # The job.

    def write_job(self, **keys):
        """Rows of token ids, and a job over them on a tiny model."""
        rows = random.Random(11)
        with open(f"{self.folder}/data.jsonl", "w") as file:
            for _ in range(400):
                ids = [rows.randrange(64) for _ in range(rows.randrange(40, 120))]
                labels = [token if rows.random() < 0.7 else -100 for token in ids]
                file.write(json.dumps({"input_ids": ids, "labels": labels}) + "\n")
        job = dict(
            name="trial", model_name_or_path=MODEL, finetuning_type="lora", lora_rank=8,
            dataset="[{path: data.jsonl, type: tokens}]", val_size=0.05, cutoff_len=128, global_batch_size=32,
            learning_rate="1e-3", workers="{min: 1, max: 8}", eval_steps=50, save_steps=40, output_dir="run")
        job.update(keys)
        with open(f"{self.folder}/job.yaml", "w") as file:
            file.writelines(f"{key}: {value}\n" for key, value in job.items() if value != "null")

    def environment(self, user):
        return dict(os.environ, XDG_STATE_HOME=f"{self.folder}/home-{user}")

    def alone(self, *keys):
        """Trains the job on one worker that nothing happens to; returns the weights' digest."""
        run = subprocess.run(
            [self.drover, "train", "job.yaml", "output_dir=whole", "--workers", "1", "--threads", "1", "--json", *keys],
            env=self.environment("alone"), cwd=self.folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            timeout=max(1, self.left()))
        if run.returncode != 0:
            raise Problem(f"the undisturbed run: {run.stderr}")
        return json.loads(run.stdout.strip().splitlines()[-1])["model_sha256"]

    # Processes.

    def start(self, name, *arguments, within=(), user="owner"):
        with open(f"{self.folder}/{name}.log", "a") as log:
            return subprocess.Popen(
                [*within, self.drover, *arguments], stdout=log, stderr=log, env=self.environment(user), cwd=self.folder)

    def log(self, name):
        try:
            with open(f"{self.folder}/{name}.log") as file:
                return file.read()
        except FileNotFoundError:
            return ""

    def start_coordinator(self):
        """Starts it, on the same folder and port each time; returns the token that it prints."""
        if self.address is None:
            with socket.socket() as free:
                free.bind(("127.0.0.1", 0))
                self.address = f"{self.host}:{free.getsockname()[1]}"
        lines = self.log("coordinator").count("drover worker join")
        self.coordinator = self.start(
            "coordinator", "coordinator", "--listen", f"tcp://{self.listens or self.host}:{self.address.split(':')[-1]}",
            "--state", f"{self.folder}/head",
            *self.coordinator_options, within=self.within)

        def is_there():
            if self.coordinator.poll() is not None:
                raise Problem(f"the coordinator does not start: {self.log('coordinator')[-2000:]}")
            return self.log("coordinator").count("drover worker join") > lines
        self.wait("the coordinator starts", is_there)
        return [line for line in self.log("coordinator").splitlines() if "--token" in line][-1].split()[-1]

    def join(self, token=None, name=None, user="owner"):
        if name is None:
            name = f"w{self.count}"
            self.count += 1
        self.workers[name] = self.start(
            name, "worker", "join", self.address, "--threads", "1", "--state", f"{self.folder}/{name}",
            *(["--token", token] if token else []), within=self.within_workers, user=user)
        return name

    def ask(self, *arguments, user="owner"):
        """A client's command on the coordinator's side; returns its last line's value."""
        run = subprocess.run(
            [*self.within, self.drover, *arguments, "--coordinator", self.address, "--json"], cwd=self.folder,
            env=self.environment(user), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=60)
        if run.returncode != 0:
            raise Problem(f"drover {' '.join(arguments)}: {run.stderr}")
        return json.loads(run.stdout.strip().splitlines()[-1])

    def submit(self, *keys):
        """Submits the job and follows it."""
        job = str(self.ask("train", "job.yaml", "--detach", *keys)["job"])
        self.seen, self.moments, self.end, self.progress, self.crew = [], [], None, 0, 0
        with open(f"{self.folder}/follower.log", "a") as log:
            self.follower = subprocess.Popen(
                [*self.within, self.drover, "logs", job, "-f", "--json", "--coordinator", self.address],
                env=self.environment("owner"), cwd=self.folder, stdout=subprocess.PIPE, stderr=log, text=True)
        threading.Thread(target=self.follow, args=[self.follower], daemon=True).start()
        return job

    def follow(self, follower):
        for line in follower.stdout:
            event = json.loads(line)
            if event.get("event") == "step":
                self.seen.append(event["current_steps"])
                self.moments.append(time.time())
                self.progress, self.crew = event["current_steps"], event["workers"]
            elif event.get("event") == "end":
                self.end = event

    def finish(self, expected, steps, meanwhile=lambda: None):
        """Waits for the job's end and holds its weights and its log against what they must be."""
        def is_over():
            if self.end is None and self.follower.poll() not in (None, 0):
                raise Problem(f"the client that follows the job ended: {self.log('follower')[-2000:]}")
            return self.end is not None
        self.wait(f"the job ends (step {self.progress} of {steps})", is_over, meanwhile)
        if self.end["state"] != "DONE" or self.end["model_sha256"] != expected:
            raise Problem(f"the job ended as {self.end}, its weights must be {expected}")
        with open(f"{self.folder}/head/jobs/1/trainer_log.jsonl") as file:
            logged = [json.loads(line)["current_steps"] for line in file]
        if logged != list(range(1, steps + 1)):
            wrong = next((pair for pair in zip(logged, range(1, steps + 1)) if pair[0] != pair[1]), "none")
            raise Problem(f"the log has {len(logged)} lines of {steps}; the first wrong one: {wrong}")

    def stop(self):
        for process in [*self.workers.values(), self.coordinator, self.follower]:
            if process and process.poll() is None:
                # One that was stopped is ended all the same.
                process.kill()
                process.wait()


def run(cluster, body, keep=False):
    """Runs `body`, ends every process, and ends this one: 0 when all went well."""
    # Whoever ends this trial ends its processes too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        body(cluster)
    except (Problem, subprocess.SubprocessError, OSError, KeyError, ValueError) as problem:
        cluster.say(f"FAILED: {problem}")
        print(f"logs: {cluster.folder}", file=sys.stderr)
        sys.exit(1)
    finally:
        cluster.stop()
    if keep:
        print(f"logs: {cluster.folder}")
    else:
        shutil.rmtree(cluster.folder, ignore_errors=True)
    print("1 passed, 0 failed")
