"""A host without a window: sequence or movie in, clean plate out (command ``sttn-inpaint``)."""
