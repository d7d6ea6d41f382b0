"""llama.cpp's own HTTP server on the given GGUF file, through the PyPI package xllamacpp. Usage: MODEL PORT THREADS SLOTS"""
import sys
import time

import xllamacpp


def main():
    model, port, threads, slots = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
    params = xllamacpp.CommonParams()
    params.model.path = model
    params.hostnames = ["127.0.0.1"]
    params.port = port
    params.n_parallel = slots
    params.n_ctx = 1024 * slots
    params.cpuparams.n_threads = threads
    params.cpuparams_batch.n_threads = threads
    params.warmup = True
    server = xllamacpp.Server(params)
    print(f"listening on {server.listening_address}", flush=True)
    while True:
        time.sleep(1)


if __name__ == "__main__":
    main()
