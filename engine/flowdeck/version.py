"""Which flowdeck this is. It stands alone, so that everything can say it."""

from typing import Final

__version__: Final = "0.1.0"
