"""What every part stands on: arrays, inputs, cores, progress, and the gates to torch and OpenVINO."""
