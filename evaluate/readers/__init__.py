"""The published layouts of benchmarks: a folder and its label file, read into a GroundTruth."""
