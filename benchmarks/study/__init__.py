"""The study of occlusion: SAGA's parts, and the gate, over several seeds (`python -m benchmarks.study --help`)."""
