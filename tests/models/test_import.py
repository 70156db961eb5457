import subprocess
import sys


def test_importing_the_room_does_not_import_torch():
    code = "import sys, sorce.models; sys.exit('torch' in sys.modules or 'transformers' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
