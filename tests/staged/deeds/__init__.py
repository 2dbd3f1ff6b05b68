"""Whatever takes several steps and may be cut off between two: by subject, one line for each deed. Every statement that one sends is
found by running it once."""

from tests.staged.deeds import apps, elsewhere, ends, good_once, sats, signing_in, sold
from tests.staged.deeds.never import NEVER
from tests.staged.deeds.scene import Deed, Scene

DEEDS = (*apps.DEEDS, *ends.DEEDS, *sats.DEEDS, *sold.DEEDS, *signing_in.DEEDS, *good_once.DEEDS, *elsewhere.DEEDS)

__all__ = ["DEEDS", "NEVER", "Deed", "Scene"]
