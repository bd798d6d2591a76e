"""Every text that the window shows, one module for each subject.

The rest of `plugin` refers to these names as ``ui_text.NAME``. ``&`` stands before the letter that
works with Alt. No Qt here.
"""

from .annotation import *
from .axes import *
from .classes import *
from .common import *
from .demo import *
from .engine import *
from .frame import *
from .image import *
from .import_export import *
from .memory import *
from .object_tool import *
from .objects import *
from .planes import *
from .project import *
from .prototypes import *
from .result import *
from .run import *
from .tiles import *
