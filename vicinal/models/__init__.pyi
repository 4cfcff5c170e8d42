from vicinal.nn.modules import *
