"""Pure functions on masks: encoding, boxes, scores, suppression, regions, outlines, relations."""
