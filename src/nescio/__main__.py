"""`python -m nescio`, for launchers that start a module on several devices: `accelerate launch -m nescio run ...`."""

from nescio.cli import main

if __name__ == "__main__":
    main()
