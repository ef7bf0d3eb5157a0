"""What a .tflite costs on a chip: read, account, plan, report, run. Needs numpy and never torch."""
