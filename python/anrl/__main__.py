"""The command line as a module: ``python -m anrl``, ``torchrun --nproc-per-node N -m anrl train CONFIG``."""

from anrl.cli import main

main()
