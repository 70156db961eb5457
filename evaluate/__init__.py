"""How well photos and boxes are found, measured by published protocols. From Python:

from sorce.evaluate.run import BenchmarkRun
from sorce.models import load_model

run = BenchmarkRun.of("lines", "./photos")
for remark in run.truth.remarks:
    print(remark)
print(run(load_model("mini")).metric("R@1").value)
"""
