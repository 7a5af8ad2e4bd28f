"""The reference implementation's command line `batch_processing`, with the shim in place.

python -m bench.peers.reference_command ARGUMENTS
"""

from bench.peers.shim import install

if __name__ == "__main__":
    install()
    from aicssegmentation.bin.batch_processing import main

    main()
