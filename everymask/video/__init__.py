"""Objects followed through a clip: which frames are remembered, the state of a session, the tracker."""
