"""A package that is run by its name, or one of its modules."""
# $ python -m package_program x
# $ python -m package_program.module x
# $ python -c "import package_program.module"

import sys

print("package", __name__, sys.argv)
